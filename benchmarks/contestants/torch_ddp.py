"""PyTorch: `DistributedDataParallel` over gloo, a process for each replica; one replica is a plain module."""

from benchmarks.contestants.stopwatch import Stopwatch, Task, images_in, read_task


def make_net(weights):
    """The conv net with the weights of Keras: kernels from [h, w, in, out], dense ones [in, out]."""
    import torch
    from torch import nn

    net = nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(64, 64, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(576, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )
    with torch.no_grad():
        for parameter, value in zip(net.parameters(), weights, strict=True):
            value = torch.from_numpy(value)
            if value.ndim == 4:
                value = value.permute(3, 2, 0, 1)
            elif tuple(value.shape) == (576, 64):  # Keras flattens [h, w, channels], PyTorch [channels, h, w]
                value = value.reshape(3, 3, 64, 64).permute(3, 2, 0, 1).reshape(64, 576)
            elif value.ndim == 2:
                value = value.T
            parameter.copy_(value)
    return net


def train(rank: int, task: Task, port: int) -> None:
    """One replica; the first one prints."""
    watch = Stopwatch(task)
    import numpy as np
    import torch
    import torch.distributed
    from torch import nn

    from benchmarks.contestants.last_epoch import loss_over_last_epoch

    if task.threads:
        torch.set_num_threads(task.threads)
    file = np.load(task.workload)
    net = make_net([file[f"weight{index}"] for index in range(10)])
    if task.replicas > 1:
        address = f"tcp://127.0.0.1:{port}"
        torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=task.replicas)
        net = nn.parallel.DistributedDataParallel(net)
    optimizer = torch.optim.Adam(net.parameters(), lr=float(file["learning_rate"]), eps=1e-7)
    images = torch.from_numpy(file["images"]).permute(0, 3, 1, 2).contiguous()
    labels = torch.from_numpy(file["labels"])
    first = 0
    for step, size in enumerate(file["sizes"].tolist(), 1):
        begin, end = first + rank * size // task.replicas, first + (rank + 1) * size // task.replicas
        first += size
        optimizer.zero_grad()
        logits = net(images[begin:end])
        part = nn.functional.cross_entropy(logits, labels[begin:end], reduction="sum") / size
        correct = (logits.detach().argmax(1) == labels[begin:end]).float().sum()  # the others count it as well
        (part * task.replicas).backward()  # DDP takes the mean over replicas
        optimizer.step()
        if watch.after_step(step):
            total = torch.stack([part.detach(), correct / size])
            if task.replicas > 1:
                torch.distributed.all_reduce(total)
            watch.done(step)
    if rank == 0:

        @torch.no_grad()
        def mean_loss(images, labels):
            logits = net(torch.from_numpy(images).permute(0, 3, 1, 2))
            return float(nn.functional.cross_entropy(logits, torch.from_numpy(labels)))

        watch.report(images_in(task, int(file["num_examples"])), loss_over_last_epoch(file, mean_loss))
    if task.replicas > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    import multiprocessing
    import socket

    task = read_task()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    start = multiprocessing.get_context("spawn")
    others = [start.Process(target=train, args=(rank, task, port)) for rank in range(1, task.replicas)]
    for process in others:
        process.start()
    train(0, task, port)
    for process in others:
        process.join()
