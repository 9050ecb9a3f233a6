"""Machines for `ray up`: each with processes, folders and a network address of its own, out of reach of the world.

Run as a script inside namespaces of its own (`enclosed` is the command for it), this file makes machines on a bridge
and runs a command beside them; all of it ends with that command. On every PATH stands an `ssh` that runs its command on
the machine of that address, over the network, and looks at no key. Home, /tmp and /dev/shm are each machine's own.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shlex
import shutil
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NETWORK = "10.77.0"
HERE = f"{NETWORK}.254"
# What ends it ends all of it: the machines are inside its PID namespace.
ENCLOSURE = ["unshare", "-Ur", "--pid", "--fork", "--mount-proc", "--mount", "--net", "--kill-child"]
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
HOME = "/mnt"  # of each machine's user
PORT, EXIT = 22, 3


def missing_tools() -> list[str]:
    """What this machine lacks to make others."""
    missing = [tool for tool in ("unshare", "nsenter", "ip", "rsync", "mount") if shutil.which(tool) is None]
    if not missing:
        done = subprocess.run(
            [*ENCLOSURE, "ip", "link", "add", "br0", "type", "bridge"], capture_output=True, timeout=30
        )
        missing = [] if done.returncode == 0 else ["namespaces"]
    return missing


def enclosed(folder: Path, numbers: range, command: list[str]) -> list[str]:
    """The command line that makes machines of these numbers in a folder and runs a command beside them."""
    return [*ENCLOSURE, sys.executable, __file__, str(folder), ",".join(map(str, numbers)), *command]


def run(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True)


def make_machine(folder: Path, number: int) -> int:
    """Starts a machine and gives it its address; returns the process that it all hangs on."""
    address, disk = f"{NETWORK}.{number}", folder / f"machine{number}"
    for part in ("home", "tmp"):
        (disk / part).mkdir(parents=True, exist_ok=True)
    tools_in(disk / "home")
    # A login shell starts from the system's PATH.
    (disk / "home" / ".bash_profile").write_text('PATH="$HOME/bin:$PATH"\n')
    script = (
        f"{bind_what_tmp_hides(disk / 'tmp')}mount --bind {quote(disk / 'home')} {HOME} && "
        f"mount --rbind {quote(disk / 'tmp')} /tmp && mount -t tmpfs tmpfs /dev/shm && "
        "mount -t proc proc /proc || exit; "
        # The shell stays, as a machine's first process: it is the one who buries the orphans.
        f"{quote(sys.executable)} -I -S {quote(__file__)} --machine & wait"
    )
    command = ["unshare", "--pid", "--fork", "--mount", "--net", "--ipc", "--kill-child", "bash", "-c", script]
    environment = {"HOME": HOME, "USER": "tester", "PATH": f"{HOME}/bin:{SYSTEM_PATH}", "LANG": "C.UTF-8"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "up\n"
    (inside,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    run("ip", "link", "add", f"v{number}", "type", "veth", "peer", "name", f"e{number}")
    run("ip", "link", "set", f"e{number}", "netns", inside)
    run("ip", "link", "set", f"v{number}", "master", "br0", "up")
    enter = ["nsenter", "-t", inside, "--net", "--"]
    run(*enter, "ip", "link", "set", "lo", "up")
    run(*enter, "ip", "link", "set", f"e{number}", "up")
    run(*enter, "ip", "address", "add", f"{address}/24", "dev", f"e{number}")
    # Ray takes for its own the address from which this one would be reached.
    run(*enter, "ip", "route", "add", "8.8.8.8", "via", HERE)
    return int(inside)


def bind_what_tmp_hides(tmp: Path) -> str:
    """Shell commands that bring the checkout and its environment into a machine's own /tmp, if they lie in ours."""
    commands = ""
    for needed in {ROOT, Path(sys.prefix)}:
        if needed.is_relative_to("/tmp"):
            target = tmp / needed.relative_to("/tmp")
            target.mkdir(parents=True, exist_ok=True)
            commands += f"mount --bind {quote(needed)} {quote(target)} && "
    return commands


def quote(path: Path | str) -> str:
    return shlex.quote(str(path))


def tools_in(folder: Path) -> Path:
    """A folder with an `ssh`."""
    tools = folder / "bin"
    tools.mkdir()
    (tools / "ssh").write_text(f'#!/bin/sh\nexec {quote(sys.executable)} -I -S {quote(__file__)} --ssh "$@"\n')
    (tools / "ssh").chmod(0o755)
    return tools


def ssh(words: list[str]) -> None:
    """What is called as `ssh`: runs a command on the machine of an address, with the ports forwarded that -L names."""
    forwarded = []
    while words and words[0].startswith("-"):
        # Of those that are in use, -tt and its like have no value.
        has_value = words[0] in ("-o", "-i", "-L", "-p", "-l", "-F")
        if words[0] == "-L":
            here, _, there = words[1].split(":")
            forwarded.append((int(here), int(there)))
        words = words[2:] if has_value else words[1:]
    address = words[0].rpartition("@")[2]
    for here, there in forwarded:
        listener = socket.create_server(("127.0.0.1", here))
        threading.Thread(target=forward, args=(listener, address, there), daemon=True).start()
    connection = ask(address, {"command": " ".join(words[1:]) or "true"})
    threading.Thread(target=send_stdin, args=(connection,), daemon=True).start()
    answers = connection.makefile("rb")
    while True:
        kind, length = struct.unpack("!BI", answers.read(5))
        if kind == EXIT:
            os._exit(length)
        os.write(kind, answers.read(length)) if kind == 2 else write_all(answers.read(length))


def ask(address: str, question: dict[str, object]) -> socket.socket:
    connection = socket.create_connection((address, PORT), timeout=5)
    connection.settimeout(None)
    connection.sendall(json.dumps(question).encode() + b"\n")
    return connection


def send_stdin(connection: socket.socket) -> None:
    while (data := when_ready(lambda: os.read(0, 65536))) != b"":
        connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)


def write_all(data: bytes) -> None:
    while data:
        data = data[when_ready(functools.partial(os.write, 1, data)) :]


def when_ready(call: Callable[[], Any]) -> Any:
    """rsync lets its ends of the pipes block nobody; the flag is shared with ours."""
    while True:
        try:
            return call()
        except BlockingIOError:
            time.sleep(0.002)


def forward(listener: socket.socket, address: str, port: int) -> None:
    """Takes each connection to a port of the machine."""
    while True:
        near, _ = listener.accept()
        far = ask(address, {"port": port})
        for ends in ((near, far), (far, near)):
            threading.Thread(target=pump, args=(ends[0].recv, ends[1]), daemon=True).start()


def pump(receive: Callable[[int], bytes], target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := receive(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


class Machine(socketserver.StreamRequestHandler):
    """What a machine does for `ssh`: a command with its streams, or a connection to one of its ports."""

    def handle(self) -> None:
        line = self.rfile.readline()
        if not line:
            return  # somebody looked whether the door is open
        question = json.loads(line)
        if "port" in question:
            with socket.create_connection(("127.0.0.1", question["port"])) as far:
                back = threading.Thread(target=pump, args=(far.recv, self.connection))
                back.start()
                pump(self.rfile.read1, far)
                back.join()
            return
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "bufsize": 0}
        process = subprocess.Popen(["bash", "-c", question["command"]], cwd=HOME, start_new_session=True, **pipes)
        lock = threading.Lock()

        def answer(kind: int, stream: object) -> None:
            while data := stream.read(65536):
                with lock, contextlib.suppress(OSError):
                    self.wfile.write(struct.pack("!BI", kind, len(data)) + data)

        def feed() -> None:
            with contextlib.suppress(OSError):
                while data := self.rfile.read1(65536):
                    process.stdin.write(data)
            with contextlib.suppress(OSError):
                process.stdin.close()

        threading.Thread(target=feed, daemon=True).start()
        outputs = [threading.Thread(target=answer, args=(1, process.stdout), daemon=True)]
        outputs.append(threading.Thread(target=answer, args=(2, process.stderr), daemon=True))
        for output in outputs:
            output.start()
        status = process.wait() & 0xFF
        for output in outputs:
            output.join(0.5)  # what a command leaves running in the background keeps its output open
        with lock, contextlib.suppress(OSError):
            self.wfile.write(struct.pack("!BI", EXIT, status))


class Door(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def main(folder: Path, numbers: list[str], command: list[str]) -> int:
    run("mount", "--make-rprivate", "/")
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "br0", "type", "bridge")
    run("ip", "link", "set", "br0", "up")
    run("ip", "address", "add", f"{HERE}/24", "dev", "br0")
    machines = [make_machine(folder, int(number)) for number in numbers]
    environment = {**os.environ, "PATH": f"{tools_in(folder)}:{os.environ['PATH']}"}
    try:
        return subprocess.run(command, env=environment).returncode
    finally:
        for machine in machines:
            os.kill(machine, signal.SIGKILL)


if __name__ == "__main__":
    if sys.argv[1] == "--ssh":
        ssh(sys.argv[2:])
    elif sys.argv[1] == "--machine":
        with Door(("0.0.0.0", PORT), Machine) as door:
            print("up", flush=True)
            door.serve_forever()
    else:
        sys.exit(main(Path(sys.argv[1]), sys.argv[2].split(","), sys.argv[3:]))
