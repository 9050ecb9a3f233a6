"""What codes tell of labels: accuracies of simple classifiers on them, and a map of them in two dimensions.

Models are trained without labels; these only judge their codes. N and M images, Z latent dimension (or pixels).
"""

from __future__ import annotations

import numpy as np

NUM_NEIGHBOURS = 5


def probe_accuracy(codes: np.ndarray, labels: np.ndarray, judged: np.ndarray, judged_labels: np.ndarray) -> float:
    """Returns the share of labels that a linear probe gets right: logistic regression on standardized codes.

    Args:
        codes: codes to fit on, [N, Z].
        labels: their labels, whole numbers [N].
        judged: codes to judge, [M, Z].
        judged_labels: their labels, [M].
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(labels)) == 1:  # nothing to separate: every answer is the one label
        return float(np.mean(judged_labels == labels[0]))
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200, tol=1e-3))
    with _one_thread(), _no_warnings():
        return float(probe.fit(codes, labels).score(judged, judged_labels))


def neighbour_accuracy(codes: np.ndarray, labels: np.ndarray, judged: np.ndarray, judged_labels: np.ndarray) -> float:
    """Returns the share of labels that the five nearest codes' vote gets right; arguments as `probe_accuracy`'s."""
    from sklearn.neighbors import KNeighborsClassifier

    voters = KNeighborsClassifier(min(NUM_NEIGHBOURS, len(codes)), algorithm="brute")
    with _one_thread():
        return float(voters.fit(codes, labels).score(judged, judged_labels))


def code_map(codes: np.ndarray) -> np.ndarray:
    """Returns positions of codes [N, Z] in the unit square, float32 [N, 2], near each other where the codes are.

    Codes of two numbers are their own positions. Others are placed by t-SNE (van der Maaten and Hinton 2008) from a
    start by principal components, which gives the same positions at every call.
    """
    from sklearn.manifold import TSNE

    codes = np.asarray(codes, dtype=np.float64)
    places = codes
    if codes.shape[1] == 1 or len(codes) < 8:
        places = np.column_stack([codes[:, 0], codes[:, -1]])
    elif codes.shape[1] > 2:
        # The perplexity has to be less than the number of codes.
        options = {"perplexity": min(30.0, (len(codes) - 1) / 3), "max_iter": 500, "random_state": 0, "n_jobs": 1}
        with _one_thread(), _no_warnings():
            places = TSNE(2, init="pca", **options).fit_transform(codes)
    low, high = places.min(0), places.max(0)
    return ((places - low) / np.where(high > low, high - low, 1)).astype(np.float32)


def _one_thread():
    """Returns a context in which sums are added in one order, so that results are the same at every call."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)


def _no_warnings():
    """Returns a context without warnings, such as those of a probe that has not converged, which is accurate enough."""
    import warnings

    return warnings.catch_warnings(action="ignore")
