import numpy as np
import tensorflow as tf

from train.generated_sets import line, reviews
from train.texts import BEGINNING, PADDING, tokenize


def tokens_of(text, length=8, size=1000):
    return tokenize(tf.constant(text), sequence_length=length, vocabulary_size=size).numpy()


class TestTokenize:
    def test_a_word_has_one_number_however_it_is_written(self):
        np.testing.assert_array_equal(tokens_of("Good, good\tÉtude!"), tokens_of("good GOOD étude"))
        first, one, other, third, *rest = tokens_of("Good, good; étude")
        assert (first, one, rest) == (BEGINNING, other, [PADDING] * 4)
        assert third not in (one, BEGINNING, PADDING)

    def test_is_the_same_on_every_machine(self):
        assert tokens_of("the film was not good").tolist() == [1, 664, 286, 779, 624, 68, 0, 0]

    def test_numbers_stay_below_the_size(self):
        assert set(tokens_of(" ".join(map(str, range(200))), length=201, size=5)) == {1, 2, 3, 4}

    def test_what_is_too_long_is_cut_and_nothing_is_not_empty(self):
        assert len(tokens_of("a b c d e f g h i j k")) == 8
        assert tokens_of(" ...").tolist() == [BEGINNING] + [PADDING] * 7


class TestReviews:
    def test_are_the_same_each_time_and_no_sentence_is_in_both_splits(self):
        train, test = (reviews()[split] for split in ("train", "test"))
        np.testing.assert_array_equal(train[0], reviews()["train"][0])
        assert (len(set(train[0])), len(set(test[0]))) == (2000, 500)
        assert not set(train[0]) & set(test[0])
        assert 0.45 < train[1].mean() < 0.55

    def test_verdicts_follow_from_the_last_clause(self):
        good = {"brilliant", "clever", "funny", "good", "lovely", "moving", "sharp", "warm"}
        for text, label in zip(*reviews()["train"], strict=True):
            words = text.split(" but ")[-1].split()
            assert label == (words[-1] in good) ^ ("not" in words)

    def test_fit_the_recipe(self):
        words = {word for split in reviews().values() for text in split[0] for word in text.split()}
        numbers = {int(tokens_of(word, length=2, size=8192)[1]) for word in words}
        assert len(numbers) == len(words)
        assert max(len(text.split()) for split in reviews().values() for text in split[0]) < 32


def test_line_is_a_line_with_noise():
    x, y = line()["train"]
    slope, intercept = np.polyfit(x[:, 0], y[:, 0], 1)
    assert abs(slope - 2) < 0.02
    assert abs(intercept - 1) < 0.02
    assert 0.09 < np.std(y[:, 0] - slope * x[:, 0] - intercept) < 0.11
