"""docs/doctor.md shows what is recognised today, and what the doctor prints."""

from pathlib import Path

from docs import make_doctor_page

PAGE = (Path(make_doctor_page.__file__).parent / "doctor.md").read_text()
RENEW = "the page is stale: python -m docs.make_doctor_page > docs/doctor.md"


class TestDoctorPage:
    def test_shows_what_is_recognised_and_the_log_as_explained_today(self):
        assert PAGE.endswith(make_doctor_page.recognised()), RENEW

    def test_begins_as_the_generator_writes_it(self):
        before, after = make_doctor_page.HEAD.split("{machine}")
        assert PAGE.startswith(before), RENEW
        assert after in PAGE, RENEW

    def test_shows_a_machine(self):
        machine = PAGE.split("```\n")[2]
        for name in (
            "Python",
            "TensorFlow",
            "Keras",
            "CUDA",
            "cuDNN",
            "NCCL",
            "driver",
            "GPUs",
            "host memory",
            "cores",
        ):
            assert f" {name} " in machine, RENEW
