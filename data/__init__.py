"""Images in, arrays out: data sets and how they are split."""
