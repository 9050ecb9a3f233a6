"""An AWS to try cluster.yaml on: moto's server, which records who asks it for what.

Run as a module, it serves on the bridge of machines.py until it is ended. Its instances are the machines there:
moto gives out the addresses of a subnet in order, from .4 on. Each has the credentials of its profile, from a metadata
service that wants IMDSv2 where the instance does.
"""

from __future__ import annotations

import fnmatch
import functools
import io
import json
import os
import signal
import sys
import threading
from pathlib import Path
from urllib.parse import parse_qsl

import boto3
import yaml
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from tests.cluster.machines import HERE
from tests.cluster.machines import NETWORK as PREFIX

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "jobs" / "aws_access.yaml"
ACCOUNT, REGION, BUCKET, NETWORK = "123456789012", "eu-central-1", "our-cluster-runs", f"{PREFIX}.0/24"
SSH_FROM = "203.0.113.7/32"
PORT = 5000
LAPTOP = {"AWS_ACCESS_KEY_ID": "laptop", "AWS_SECRET_ACCESS_KEY": "made-up", "AWS_DEFAULT_REGION": REGION}
METADATA = "/latest/meta-data/iam/security-credentials/"
S3_ACTIONS = {
    "PUT": "PutObject",
    "POST": "PutObject",
    "DELETE": "DeleteObject",
    "GET": "GetObject",
    "HEAD": "GetObject",
}
S3_BUCKET_ACTIONS = {"GET": "ListBucket", "HEAD": "ListBucket"}


def reach_publicly(interface: NetworkInterface) -> None:
    """In place of a random public address: nobody else is on the network of the machines."""
    if str(interface.public_ip_auto_assign).lower() == "true":
        interface.public_ip = interface.private_ip_address


class Cloud:
    """The server.

    Attributes:
        calls: of each request its sender's address, action, resources and parameters.
    """

    def __init__(self, address: str = "127.0.0.1", port: int = 0, record: Path | None = None):
        NetworkInterface.check_auto_public_ip = reach_publicly
        handler = type("Handler", (MotoRequestHandler,), {"log_request": lambda *_: None})
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server(address, port, self, threaded=True, request_handler=handler)
        self._record = record
        self._lock = threading.Lock()
        self.calls: list[dict] = []
        self.url = f"http://{address}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()

    def __call__(self, environ: dict, start_response):
        request = Request(environ)
        if request.path.startswith("/latest/"):
            return self._metadata(request)(environ, start_response)
        call = describe(request)
        with self._lock:
            self.calls.append(call)
            if self._record:
                with open(self._record, "a") as file:
                    file.write(json.dumps(call) + "\n")
        return self._moto(environ, start_response)

    @functools.cached_property
    def _clients(self) -> list:
        """Made once: who asks for credentials waits no longer than a second."""
        here = {"region_name": REGION, "endpoint_url": self.url, "aws_access_key_id": "metadata"}
        return [boto3.client(name, aws_secret_access_key="made-up", **here) for name in ("ec2", "iam", "sts")]

    def _metadata(self, request: Request) -> Response:
        """What an instance is told of itself."""
        ec2, iam, sts = self._clients
        filters = [{"Name": "private-ip-address", "Values": [request.remote_addr]}]
        filters.append({"Name": "instance-state-name", "Values": ["running"]})
        reservations = ec2.describe_instances(Filters=filters)["Reservations"]
        if not reservations:
            return Response("no instance", 404)
        (instance,) = reservations[0]["Instances"]
        if request.method == "PUT":
            return Response("token", headers={"X-aws-ec2-metadata-token-ttl-seconds": "21600"})
        wants_token = instance["MetadataOptions"]["HttpTokens"] == "required"
        if wants_token and "X-aws-ec2-metadata-token" not in request.headers:
            return Response("IMDSv2 alone", 401)
        if "IamInstanceProfile" not in instance or not request.path.startswith(METADATA):
            return Response("not there", 404)
        profile = instance["IamInstanceProfile"]["Arn"].rpartition("/")[2]
        (role,) = iam.get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]["Roles"]
        if request.path == METADATA:
            return Response(role["RoleName"])
        given = sts.assume_role(RoleArn=role["Arn"], RoleSessionName=instance["InstanceId"])["Credentials"]
        names = {"AccessKeyId": "AccessKeyId", "SecretAccessKey": "SecretAccessKey", "SessionToken": "Token"}
        values = {there: given[here] for here, there in names.items()}
        expiration = given["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ")
        return Response(json.dumps({"Code": "Success", "Type": "AWS-HMAC", "Expiration": expiration, **values}))


def describe(request: Request) -> dict:
    """A request in the words of a policy."""
    scope = request.headers.get("Authorization", "").partition("Credential=")[2].split(",")[0].split("/")
    key, service = (scope[0], scope[3]) if len(scope) > 3 else ("", "s3")
    if service == "s3":
        name = request.path.strip("/")
        parameters = dict(request.args)
        action = S3_ACTIONS[request.method] if "/" in name else S3_BUCKET_ACTIONS.get(request.method, request.method)
        if "delete" in parameters:
            name, action = f"{name}/*", "DeleteObject"
        resources = [f"arn:aws:s3:::{name}"]
    else:
        body = request.environ["wsgi.input"].read(request.content_length or 0).decode()
        parameters = dict(parse_qsl(body))
        action = parameters.get("Action", "")
        if action == "RunInstances":  # AWS starts as many as it can; moto no more than it must
            body = body.replace("MinCount=1", f"MinCount={parameters['MaxCount']}")
        request.environ |= {"wsgi.input": io.BytesIO(body.encode()), "CONTENT_LENGTH": str(len(body.encode()))}
        named = [value for name, value in parameters.items() if name.startswith(("ResourceId.", "InstanceId."))]
        resources = [f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/{value}" for value in named] or ["*"]
    action = f"{service}:{action}"
    return {"from": request.remote_addr, "key": key, "action": action, "resources": resources, "parameters": parameters}


def deploy() -> dict[str, str]:
    """Does what cluster.yaml says is to be done first; returns what stands in the place of its placeholders."""
    ec2, cloudformation = boto3.client("ec2"), boto3.client("cloudformation")
    vpc = ec2.create_vpc(CidrBlock=NETWORK)["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=NETWORK)["Subnet"]["SubnetId"]
    ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})
    ec2.create_key_pair(KeyName="key")
    boto3.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    parameters = {"SshCidr": SSH_FROM, "Vpc": vpc, "Bucket": BUCKET}
    cloudformation.create_stack(
        StackName="aesweep",
        TemplateBody=TEMPLATE.read_text(),
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
    )
    (stack,) = cloudformation.describe_stacks(StackName="aesweep")["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    return {
        "<REGION>": REGION,
        "<AMI>": "ami-03cf127a",  # one that moto has
        "<KEY_NAME>": "key",
        "<SUBNET>": subnet,
        "<SECURITY_GROUP>": outputs["SecurityGroup"],
        "<HEAD_PROFILE>": outputs["HeadProfile"],
        "<BUCKET>": BUCKET,
    }


def filled(values: dict[str, str]) -> str:
    """cluster.yaml as a user fills it in."""
    text = (ROOT / "cluster.yaml").read_text()
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return text


def ingress(group: str) -> list[tuple]:
    """The rules of a security group: protocol, ports, and everything that is let in by them."""
    (found,) = boto3.client("ec2").describe_security_groups(GroupIds=[group])["SecurityGroups"]
    return [
        (rule["IpProtocol"], rule.get("FromPort"), rule.get("ToPort"), sorted(source))
        for rule in found["IpPermissions"]
        if (
            source := [one["CidrIp"] for one in rule["IpRanges"]]
            + [one["CidrIpv6"] for one in rule["Ipv6Ranges"]]
            + [one["GroupId"] for one in rule["UserIdGroupPairs"]]
            + [one["PrefixListId"] for one in rule["PrefixListIds"]]
        )
    ]


def policy(profile: str) -> list[dict]:
    """The statements of the policy of a profile's role."""
    iam = boto3.client("iam")
    (role,) = iam.get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]["Roles"]
    (name,) = iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]
    document = iam.get_role_policy(RoleName=role["RoleName"], PolicyName=name)["PolicyDocument"]
    return yaml.safe_load(document)["Statement"]  # moto writes a stack's policies as Python would


def instances() -> dict[str, dict]:
    """All that there ever were, by their ids."""
    found = boto3.client("ec2").describe_instances()["Reservations"]
    return {instance["InstanceId"]: instance for reservation in found for instance in reservation["Instances"]}


def tags(instance: dict) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in instance.get("Tags", ())}


def refused(calls: list[dict], statements: list[dict], known: dict[str, dict]) -> list[dict]:
    """Those of some calls that a policy does not allow.

    Args:
        known: the instances, by their ids.
    """
    return [
        call
        for call in calls
        if not all(
            any(allows(statement, call["action"], resource, known) for statement in statements)
            for resource in call["resources"]
        )
    ]


def allows(statement: dict, action: str, resource: str, known: dict[str, dict]) -> bool:
    actions, resources = (
        [value] if isinstance(value, str) else value for value in (statement["Action"], statement["Resource"])
    )
    if statement["Effect"] != "Allow" or not any(fnmatch.fnmatchcase(action, pattern) for pattern in actions):
        return False
    found = tags(known[resource.rpartition("/")[2]]) if ":instance/" in resource else {}
    wanted = statement.get("Condition", {"StringEquals": {}})["StringEquals"]
    return any(fnmatch.fnmatchcase(resource, pattern) for pattern in resources) and all(
        found.get(name.removeprefix("ec2:ResourceTag/")) == value for name, value in wanted.items()
    )


def serve(record: Path, cluster_file: Path, state: Path) -> None:
    """Serves until SIGTERM, with all deployed and the cluster file filled in; then says what has become of it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    cloud = Cloud(HERE, PORT, record)
    os.environ.update(LAPTOP, AWS_ENDPOINT_URL=cloud.url)
    values = deploy()
    cluster_file.write_text(filled(values))
    signal.sigwait({signal.SIGTERM})
    group, profile = values["<SECURITY_GROUP>"], values["<HEAD_PROFILE>"]
    found = {"rules": ingress(group), "statements": policy(profile), "instances": instances(), **values}
    state.write_text(json.dumps(found, default=str))


if __name__ == "__main__":
    serve(*map(Path, sys.argv[1:]))
