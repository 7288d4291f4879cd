"""docs/gpu.md says what the files of the evidence say."""

from docs import make_gpu_page


def test_the_page_is_made_of_the_files():
    page = (make_gpu_page.EVIDENCE.parent / "gpu.md").read_text()
    assert page == make_gpu_page.page(), "the page is stale: python -m docs.make_gpu_page > docs/gpu.md"
