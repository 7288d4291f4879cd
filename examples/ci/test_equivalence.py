import multi_gpu


def test_replicas_train_as_one_device(assert_equivalent):
    assert_equivalent(multi_gpu.build, multi_gpu.train_data())
