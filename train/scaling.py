"""Predicts step time and efficiency on 2 to 1,024 replicas from one replica's step and the bytes of its gradients.

python train/scaling.py
python train/scaling.py --step_ms=120 --gradient_mib=98 --links=100gbe,400gbe --overlap

Without ``--step_ms`` and ``--gradient_mib`` the recipe's own step is measured here, on one device.
"""

from typing import TYPE_CHECKING

from absl import flags

from train import flags as train_flags
from train import script

if TYPE_CHECKING:
    from train.output import Output
    from train.run_folder import RunFolder
    from train.scaling_model import Link
    from train.scaling_table import Topology

FLAGS = flags.FLAGS


def main(output: "Output") -> int:
    """Prints the table, writes ``scaling.json`` and ``scaling.svg``; returns 0."""
    # Imported in the functions, so that --help and a misspelt flag answer before TensorFlow has loaded.
    from train.run_folder import open_run_folder
    from train.working import under_way

    topologies = find_topologies()
    folder = open_run_folder(FLAGS.output_dir, resume=False)
    try:
        with under_way(output.console, "measuring a step"):
            step = find_step()
        show(*step, topologies, folder, output)
    finally:
        folder.remove_if_new()
    return 0


def show(step_s: float, num_bytes: float, topologies: "list[Topology]", folder: "RunFolder", output: "Output") -> None:
    """Predicts from one replica's step, prints the table and writes the files."""
    from train.scaling_picture import save_picture
    from train.scaling_table import predict_all, table

    predictions = predict_all(
        step_s,
        num_bytes,
        [int(number) for number in FLAGS.replicas],
        topologies,
        calls=FLAGS.all_reduces,
        overlap=FLAGS.overlap,
    )
    output.show("\n".join(table(step_s, num_bytes, predictions, overlap=FLAGS.overlap)))
    record = {"step_s": step_s, "gradient_bytes": num_bytes, "overlap": FLAGS.overlap, "links": predictions}
    path = output.save(folder, "scaling.json", record)
    save_picture(folder.path / "scaling.svg", predictions)
    output.console.print(f"all of it: {path}, scaling.svg beside it")


def find_step() -> tuple[float, float]:
    """Seconds of one replica's step and bytes of its gradients, as given, or measured where neither is.

    Raises:
      InputError: only one of them is given.
    """
    from train.errors import InputError

    if (FLAGS.step_ms is None) != (FLAGS.gradient_mib is None):
        raise InputError("--step_ms and --gradient_mib belong together; without both of them the recipe is measured")
    if FLAGS.step_ms is None:
        from train.measured_step import measure_step

        return measure_step(FLAGS)
    return FLAGS.step_ms / 1e3, FLAGS.gradient_mib * 2**20


def find_topologies() -> "list[Topology]":
    """A flat ring over each link, and where a host is given, rings within and between hosts.

    Raises:
      InputError: an unknown link, or half a link.
    """
    from train.errors import InputError
    from train.scaling_model import LINKS, Link
    from train.scaling_table import Topology

    def link_of(name: str) -> "Link":
        if name not in LINKS:
            raise InputError(
                f"link {name!r} is unknown: {', '.join(LINKS)}, or your own by --latency_us, --bandwidth_gbs"
            )
        return LINKS[name]

    links = [link_of(name) for name in FLAGS.links]
    if (FLAGS.latency_us is None) != (FLAGS.bandwidth_gbs is None):
        raise InputError("--latency_us and --bandwidth_gbs belong together: they are one link")
    if FLAGS.latency_us is not None:
        links.append(Link("your link", FLAGS.latency_us * 1e-6, FLAGS.bandwidth_gbs * 1e9))
    if not links:
        raise InputError("there is no link: name some by --links, or give one by --latency_us and --bandwidth_gbs")
    inner = link_of(FLAGS.inner_link)
    flat = [Topology(link, link, per_host=1) for link in links]
    return flat + [Topology(inner, link, FLAGS.per_host) for link in links if link != inner and FLAGS.per_host > 1]


if __name__ == "__main__":
    train_flags.define_device_flag()
    train_flags.define_recipe_flags()
    train_flags.define_scaling_flags()
    train_flags.define_output_flags()
    script.run(main)
