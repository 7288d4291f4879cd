import pytest

from distribute.targets import parse_target, resolve_build, resolve_data

HERE = "tests.distribute.test_targets"

some_batches = [[1, 2], [3]]


def batches(*, size=2):
    return [[0] * size]


def of_context(context, *, size):
    return context, size


def context_after_keyword(size, context):
    return context, size


def two_contexts(first, second):
    return first, second


class TestParseTarget:
    def test_takes_a_name_or_a_name_with_keywords(self):
        assert parse_target("a.b:c") == ("a.b:c", {})
        assert parse_target(("a.b:c", {"size": 3})) == ("a.b:c", {"size": 3})

    @pytest.mark.parametrize("target", ["a.b", "a.b:", ":c", ("a.b:c",), ("a:c", [1]), None, batches, 3])
    def test_says_what_a_target_is(self, target):
        with pytest.raises(ValueError, match=r'"package.module:name"'):
            parse_target(target)

    def test_refuses_what_another_process_cannot_have(self):
        with pytest.raises(ValueError, match="put 'build' into a module"):
            parse_target("__main__:build")
        with pytest.raises(ValueError, match="JSON"):
            parse_target(("a:b", {"function": batches}))


class TestResolve:
    def test_binds_keywords_of_a_build(self):
        assert resolve_build((f"{HERE}:batches", {"size": 3}))() == [[0, 0, 0]]

    @pytest.mark.parametrize(
        ("target", "words"),
        [
            ("no_such_package.module:build", "no module 'no_such_package'"),
            (f"{HERE}:no_such_name", "has no 'no_such_name'"),
            (f"{HERE}:some_batches", "is a list, not a function"),
            (f"{HERE}:two_contexts", "still missing: first, second"),
        ],
    )
    def test_says_what_is_wrong_with_a_build(self, target, words):
        with pytest.raises(ValueError, match=words):
            resolve_build(target)

    def test_data_is_used_called_or_given_a_context(self):
        assert resolve_data(f"{HERE}:some_batches")() is some_batches
        assert resolve_data(f"{HERE}:batches")() == [[0, 0]]
        assert resolve_data((f"{HERE}:of_context", {"size": 3}))()("context") == ("context", 3)
        assert resolve_data((f"{HERE}:context_after_keyword", {"size": 3}))()("context") == ("context", 3)

    def test_says_what_is_wrong_with_data(self):
        with pytest.raises(ValueError, match="needs first, second"):
            resolve_data(f"{HERE}:two_contexts")
        with pytest.raises(ValueError, match="takes no keywords"):
            resolve_data((f"{HERE}:some_batches", {"size": 3}))
