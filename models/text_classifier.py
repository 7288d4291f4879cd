"""A small Transformer encoder that classifies texts.

Source: Vaswani et al., "Attention Is All You Need" (arXiv 1706.03762), section 3.1, encoder; normalised before each
part and not after it, which trains without a warm-up (Xiong et al., arXiv 2002.04745).
"""

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="models")
class TokenAndPosition(keras.layers.Layer):
    """Adds up an embedding of each number and one of its position; the number 0 is padding, and masked."""

    def __init__(self, vocabulary_size: int, sequence_length: int, dim: int, **options: Any):
        super().__init__(**options)
        self.vocabulary_size, self.sequence_length, self.dim = vocabulary_size, sequence_length, dim
        self.tokens = keras.layers.Embedding(vocabulary_size, dim, mask_zero=True, name="tokens")
        self.positions = keras.layers.Embedding(sequence_length, dim, name="positions")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the embeddings.

        Raises:
          ValueError: there are more numbers than positions; a GPU would read zeros for those beyond.
        """
        length = input_shape[-1]
        if length is None or length > self.sequence_length:
            raise ValueError(
                f"a text of {length} numbers, and {self.sequence_length} positions: give sequence_length={length}, or "
                "shorter texts"
            )
        self.tokens.build(input_shape)
        self.positions.build((length,))

    def call(self, tokens: keras.KerasTensor) -> keras.KerasTensor:
        """From whole numbers [batch, length] to [batch, length, dim]."""
        return self.tokens(tokens) + self.positions(keras.ops.arange(tokens.shape[1]))

    def compute_mask(self, tokens: keras.KerasTensor, mask: Any = None) -> keras.KerasTensor:
        """What is no padding, [batch, length]."""
        return self.tokens.compute_mask(tokens, mask)

    def get_config(self) -> dict[str, Any]:
        """What Keras saves."""
        sizes = {name: getattr(self, name) for name in ("vocabulary_size", "sequence_length", "dim")}
        return {**super().get_config(), **sizes}


def build_text_classifier(
    input_shape: tuple[int, ...] = (32,),
    num_classes: int = 2,
    *,
    vocabulary_size: int = 8192,
    dim: int = 32,
    num_heads: int = 4,
    num_blocks: int = 2,
    dropout: float = 0.1,
) -> keras.Model:
    """Embeddings, two encoder blocks, and the mean over a text; 288,450 parameters by default.

    Args:
      input_shape: (sequence_length,).
      num_classes: number of logits.
      vocabulary_size: tokens are below it; 0 is padding.
      dim: values that stand for a token.
      num_heads: heads of each attention; they divide `dim`.
      num_blocks: encoder blocks.
      dropout: share of the values left out, after the embeddings, in the attention and after each part of a block.

    Returns:
      A model from tokens [batch, sequence_length] int32 to logits [batch, num_classes]. Padding is left out of the
      attention and of the mean; a text of nothing but padding is NaN.
    """
    tokens = keras.Input(input_shape, dtype="int32")
    x = TokenAndPosition(vocabulary_size, input_shape[0], dim)(tokens)
    x = keras.layers.Dropout(dropout)(x)
    for _ in range(num_blocks):
        y = keras.layers.LayerNormalization()(x)
        # No biases: that of the keys has no influence, and its gradient would be nothing but rounding.
        y = keras.layers.MultiHeadAttention(num_heads, dim // num_heads, dropout=dropout, use_bias=False)(y, y)
        # Layers and not operators: `+` would lose the mask.
        x = keras.layers.Add()([x, keras.layers.Dropout(dropout)(y)])
        y = keras.layers.Dense(4 * dim, activation="gelu")(keras.layers.LayerNormalization()(x))
        x = keras.layers.Add()([x, keras.layers.Dropout(dropout)(keras.layers.Dense(dim)(y))])
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.LayerNormalization()(x))
    return keras.Model(tokens, keras.layers.Dense(num_classes)(x), name="text_classifier")
