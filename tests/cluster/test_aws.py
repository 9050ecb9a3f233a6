"""cluster.yaml and jobs/aws_access.yaml against moto's AWS: what they make there, and what Ray makes of them."""

from __future__ import annotations

import pytest
import yaml

pytest.importorskip("moto.server", reason="NOT RUN: pip install 'aesweep[test]'")
pytest.importorskip("cfnlint", reason="NOT RUN: pip install 'aesweep[test]'")

from tests.cluster import cloud as aws

OPEN = {"0.0.0.0/0", "::/0"}
RULES = {("tcp", 22, 22, aws.SSH_FROM), ("-1", None, None, "itself")}


@pytest.fixture(scope="module")
def cloud():
    """The server, where this process's boto3 finds it."""
    server = aws.Cloud()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**aws.LAPTOP, "AWS_ENDPOINT_URL": server.url, "NO_PROXY": "127.0.0.1"}.items():
            patch.setenv(name, value)
        yield server
    server.stop()


@pytest.fixture(scope="module")
def values(cloud) -> dict[str, str]:
    return aws.deploy()


@pytest.fixture(scope="module")
def bootstrapped(cloud, values) -> tuple[dict, list[dict]]:
    """The filled cluster.yaml as Ray's launcher goes on with it, and what it asked of AWS to get there."""
    from ray.autoscaler._private.commands import _bootstrap_config

    num_calls = len(cloud.calls)
    config = _bootstrap_config(yaml.safe_load(aws.filled(values)), no_config_cache=True)
    return config, cloud.calls[num_calls:]


@pytest.fixture(scope="module")
def launched(cloud, bootstrapped) -> dict[str, tuple[dict, dict]]:
    """Of each node type an instance as AWS describes it, and the parameters with which Ray asked for it."""
    from ray.autoscaler._private.providers import _get_node_provider
    from ray.autoscaler.tags import NODE_KIND_WORKER, TAG_RAY_NODE_KIND

    config, _ = bootstrapped
    provider = _get_node_provider(config["provider"], config["cluster_name"])
    found = {}
    for name, node_type in config["available_node_types"].items():
        (instance,) = provider.create_node(node_type["node_config"], {TAG_RAY_NODE_KIND: NODE_KIND_WORKER}, 1)
        provider.non_terminated_nodes({})
        provider.set_node_tags(instance, {"ray-node-status": "up-to-date"})
        call = next(call for call in reversed(cloud.calls) if call["action"] == "ec2:RunInstances")
        found[name] = (aws.instances()[instance], call["parameters"])
    provider.terminate_nodes(provider.non_terminated_nodes({}))
    return found


def rules(group: str) -> set[tuple]:
    return {
        (protocol, first, last, "itself" if source == group else source)
        for protocol, first, last, sources in aws.ingress(group)
        for source in sources
    }


def test_template_is_what_cloudformation_takes():
    """moto takes more than AWS does, such as an apostrophe in a group's description."""
    from cfnlint.api import lint_all

    assert not [match for match in lint_all(aws.TEMPLATE.read_text()) if match.rule.severity != "informational"]


def test_group_lets_in_ssh_from_one_range_and_its_own_nodes_alone(values):
    assert rules(values["<SECURITY_GROUP>"]) == RULES


def test_ray_takes_the_file_and_makes_nothing_of_its_own(bootstrapped, values):
    config, calls = bootstrapped
    asked = yaml.safe_load(aws.filled(values))["available_node_types"]
    assert {name: node["node_config"] for name, node in config["available_node_types"].items()} == {
        name: node["node_config"] for name, node in asked.items()
    }
    assert calls and all(call["action"].startswith("ec2:Describe") for call in calls)


def test_instances_are_closed_and_encrypted(launched, values):
    assert len(launched) == 3
    for instance, parameters in launched.values():
        assert [group["GroupId"] for group in instance["SecurityGroups"]] == [values["<SECURITY_GROUP>"]]
        assert parameters["MetadataOptions.HttpTokens"] == "required"
        assert parameters["MetadataOptions.HttpPutResponseHopLimit"] == "1"
        assert parameters["BlockDeviceMapping.1.Ebs.Encrypted"] == "true"
    market = {name: parameters.get("InstanceMarketOptions.MarketType") for name, (_, parameters) in launched.items()}
    assert market == {"head": None, "gpu_spot": "spot", "gpu_on_demand": None}


def test_head_alone_has_a_role(launched, values):
    profiles = {name: parameters.get("IamInstanceProfile.Name") for name, (_, parameters) in launched.items()}
    assert profiles == {"head": values["<HEAD_PROFILE>"], "gpu_spot": None, "gpu_on_demand": None}


def test_role_may_do_what_rays_provider_does_and_no_more(cloud, launched, values):
    statements = aws.policy(values["<HEAD_PROFILE>"])
    used = {"ec2:DescribeInstances", "ec2:RunInstances", "ec2:CreateTags", "ec2:TerminateInstances"}
    calls = [call for call in cloud.calls if call["action"] in used]
    assert {call["action"] for call in calls} == used and not aws.refused(calls, statements, aws.instances())
    (stranger,) = aws.boto3.client("ec2").run_instances(MinCount=1, MaxCount=1, ImageId="ami-03cf127a")["Instances"]
    others = [
        {
            "action": "ec2:TerminateInstances",
            "resources": [f"arn:aws:ec2:x:{aws.ACCOUNT}:instance/{stranger['InstanceId']}"],
        },
        {"action": "ec2:AuthorizeSecurityGroupIngress", "resources": ["*"]},
        {"action": "iam:PassRole", "resources": ["*"]},
        {"action": "s3:GetObject", "resources": ["arn:aws:s3:::another/file"]},
    ]
    assert aws.refused(others, statements, aws.instances()) == others
