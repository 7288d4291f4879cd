"""Words in a picture, where there is little room."""

from train.report_page.markup import printable

_LETTER = 0.56  # about the width of a letter, in font sizes


def fitting(name: str, width: float, font_size: float) -> str:
    """The name, its middle left out where it is longer than `width` units."""
    name, most = printable(name).replace("\n", " "), int(width / (_LETTER * font_size))
    if len(name) <= most:
        return name
    half = max((most - 1) // 2, 1)
    return f"{name[:half]}…{name[-half:]}"


def short_list(names: list[str], most: int = 3) -> str:
    """All names where they are few, else the first and the last."""
    return ", ".join(names) if len(names) <= most else f"{names[0]} … {names[-1]}"
