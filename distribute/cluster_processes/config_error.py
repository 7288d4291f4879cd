"""What is wrong with the description of a cluster."""


class ClusterConfigError(ValueError):
    """TensorFlow would hang, train alone without a word, or end with words that do not help.

    Attributes:
      found: what was asked for and what was found.
      remedy: what to do.
    """

    def __init__(self, found: str, remedy: str):
        super().__init__(f"{found}; {remedy}")
        self.found = found
        self.remedy = remedy
