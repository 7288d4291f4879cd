"""A heap that is emptied at every step stays: without that each step pays for its pages anew."""

import pytest

from tests.process import run_python

CODE = """
import ctypes, os, resource, threading
from train.heap import keep_heaps

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
BLOCK = 100_000  # malloc takes a mapping of its own for what is larger

def take(num_bytes):
    blocks = [libc.malloc(BLOCK) for _ in range(num_bytes // BLOCK)]
    for block in blocks:
        ctypes.memset(block, 1, BLOCK)
    return blocks

def give_back(blocks):
    for block in reversed(blocks):
        libc.free(block)

def steps():
    held = take(60_000_000)  # nearly one heap of 64 MiB, so that each step needs a second one
    give_back(take(12_000_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        give_back(take(12_000_000))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

PREPARE
thread = threading.Thread(target=steps)
thread.start()
thread.join()
"""


def page_faults(prepare):
    result = run_python(CODE.replace("PREPARE", prepare))
    assert result.returncode == 0, result.stderr
    return int(result.stdout)


@pytest.mark.skipif(not hasattr(__import__("ctypes").CDLL(None), "mallopt"), reason="the C library is not glibc")
class TestKeepHeaps:
    def test_steps_that_cross_the_border_of_a_heap_take_no_new_pages(self):
        without = page_faults("")
        assert without > 10_000, "the situation that is mended does not come up"
        assert page_faults("keep_heaps()") < without / 20

    def test_what_the_user_set_stays(self):
        assert page_faults("os.environ['MALLOC_TOP_PAD_'] = '0'; keep_heaps()") > 10_000
