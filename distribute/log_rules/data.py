"""What is read and written: records, checkpoints, the disk, the end of the data."""

from ..package_name import LIBRARY
from .rule import Kind, Rule

DATA_RULES = (
    Rule(
        "record_damaged",
        "a TFRecord file is damaged or ends too early",
        (r"(?:corrupted|truncated) record at \d+",),
        (
            "download or write the file again: the copy was interrupted, or it was read while being written",
            "find it: for each file, sum(1 for _ in tf.data.TFRecordDataset(file)) raises at the damaged one",
        ),
        "https://github.com/tensorflow/tensorflow/issues/13463",
    ),
    Rule(
        "checkpoint_damaged",
        "a checkpoint is damaged, incomplete, or no checkpoint at all",
        (
            r"(?:Unable to open table file .*: )?(?:Data loss: )?not an sstable \(bad magic number\)",
            r"Unable to open table file ",
            r"(?:\S+ \d+ bytes\): |TensorBundle at \S+ .*)?Checksum does not match: stored",
        ),
        (
            "name the checkpoint by its prefix (ckpt-200), without .index or .data-00000-of-00001",
            "go back to an older one: ckpt-N.index and .data-* must both be there and whole",
        ),
        "https://www.tensorflow.org/guide/checkpoint",
    ),
    Rule(
        "disk_full",
        "the disk is full, or the quota is used up",
        (r"(?:\[Errno (?:28|122)\] |\S+; )?(?:No space left on device|[Dd]isk quota exceeded)",),
        ("df -h and quota show where: free some space, or --output_dir and --data_dir on another disk",),
        "https://github.com/keras-team/keras-tuner/issues/390",
        within=(r"; No space left on device", r"[Dd]isk quota exceeded"),
    ),
    Rule(
        "batch_not_divisible",
        "the global batch cannot be divided among the workers or replicas",
        (
            r"Batch size: \d+ is not divisible by num_(?:workers|replicas): \d+",
            r"The `global_batch_size` \d+ is not divisible by `num_replicas_in_sync` \d+",
        ),
        (
            "a batch that strategy.num_replicas_in_sync divides; --global_batch_size here",
            f"{LIBRARY}.pad_last_batch(dataset, B) for the last batch of the data",
        ),
        "https://github.com/tensorflow/tensorflow/issues/32077",
    ),
    Rule(
        "sharded_by_examples",
        "harmless: the data is in no files that could be shared out, so each worker reads all and keeps its part",
        (
            r"AUTO sharding policy will apply DATA sharding policy as it failed to apply FILE sharding policy",
            r"In AUTO-mode, and switching to DATA-based sharding, instead of FILE-based sharding",
        ),
        (
            "options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA, or OFF,"
            " then dataset.with_options(options): the same, without the message",
        ),
        "https://github.com/tensorflow/tensorflow/issues/66851",
        kind=Kind.HARMLESS,
    ),
    Rule(
        "data_ended_early",
        "the data ended before steps_per_epoch × epochs steps, so training stopped early",
        (r"Your (?:input|dataset|dataset iterator) ran out of data; interrupting training",),
        (
            "leave steps_per_epoch out: fit then counts the batches itself",
            "or dataset.repeat(), and steps_per_epoch at most the number of examples divided by the batch size",
        ),
        "https://github.com/tensorflow/tensorflow/issues/64476",
        kind=Kind.NOTICE,
    ),
)
