"""Entries for child processes that need no TensorFlow, so that each test of them takes a moment."""

import os
import sys
import time


def echo(channel, *, phase):
    channel.send({"kind": "phase", "phase": phase})
    return {"received": channel.receive().decode(), "path": sys.path, "folder": os.getcwd()}  # noqa: PTH109


def talk(channel):
    print("to the standard output")
    os.write(1, b"to its file descriptor\n")
    sys.stderr.write("to the standard error\n")
    return {"read": sys.stdin.read()}


def fail(channel):
    channel.send({"kind": "phase", "phase": "failing"})
    raise KeyError("what was wrong")


def die(channel, *, signal):
    print("the last words")
    sys.stdout.flush()
    os.kill(os.getpid(), signal)


def leave(channel):
    os._exit(7)


def hang(channel):
    channel.send({"kind": "phase", "phase": "hanging"})
    channel.watch()
    time.sleep(600)


def needs(channel, *, limit_mib, need_mib):
    if limit_mib < need_mib:
        raise MemoryError(f"{need_mib} MiB are needed")
    return {}


def imports(channel, *, module):
    try:
        __import__(module)
    except ImportError:
        return {"found": False}
    return {"found": True}
