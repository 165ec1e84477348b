"""WordPiece, the tokenizer of BERT, trained and run by Hugging Face's library."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge
from jaxtyping import Int64

from unspool.data.tokenizer import Tokenizer, field, tokenizers, visible, wrong

PAD, UNKNOWN, FIRST, LAST, MASK = SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
INSIDE = "##"
"""How a piece is spelled that goes on a word."""
LONGEST = 100
"""A word of more characters is unknown, as in BERT."""

Vocabulary = Annotated[int, Ge(32)]
Accents = Literal["auto", "keep", "strip"]


@tokenizers.register("wordpiece")
class WordPieceTokenizer(Tokenizer):
    """Words in the longest pieces that are known; a word that cannot be spelled in them is unknown.

    Words are cut at white space, punctuation and Chinese characters (Schuster and Nakajima 2012, "Japanese and Korean
    voice search"; Devlin et al. 2018, arXiv:1810.04805). A text comes back with one space between words, without line
    breaks, and lowercased where the tokenizer does so. [CLS], [SEP] and [MASK] in a text are plain characters.

    Args:
        vocabulary: how many tokens there are; at most half of them spell single characters, the frequent ones.
        lower: whether the text is lowercased.
        accents: whether they are dropped, "keep" or "strip"; "auto" drops them where the text is lowercased.

    >>> tokenizer = WordPieceTokenizer(vocabulary=64).fit("the cat sat on the mat, the rat ran")
    >>> [tokenizer.token(id) for id in tokenizer.encode("The mat!").tolist()]
    ['the', 'm', '##at', '[UNK]']
    >>> tokenizer.decode(tokenizer.encode("The mat,  the rat"))
    'the mat , the rat'
    """

    def __init__(self, vocabulary: Vocabulary = 1000, lower: bool = True, accents: Accents = "auto") -> None:
        self.vocabulary, self.lower, self.accents = vocabulary, lower, accents
        self.know(SPECIAL)

    def know(self, words: Iterable[str]) -> None:
        """Make these the vocabulary, in this order."""
        self.words = list(words)
        self.ids = {word: id for id, word in enumerate(self.words)}
        self.pieces = [word.removeprefix(INSIDE).encode("utf-8", "replace") for word in self.words]
        self.pieces[self.ids[UNKNOWN]] = b"<unk>"
        self.mask, self.frame = self.ids[MASK], (self.ids[FIRST], self.ids[LAST])
        self.engine = self._engine()

    def _engine(self) -> Any:
        import tokenizers as hugging_face

        pieces = hugging_face.models.WordPiece(
            self.ids, unk_token=UNKNOWN, max_input_chars_per_word=LONGEST, continuing_subword_prefix=INSIDE
        )
        engine = hugging_face.Tokenizer(pieces)
        engine.normalizer = hugging_face.normalizers.BertNormalizer(
            clean_text=True,
            handle_chinese_chars=True,
            strip_accents=None if self.accents == "auto" else self.accents == "strip",
            lowercase=self.lower,
        )
        engine.pre_tokenizer = hugging_face.pre_tokenizers.BertPreTokenizer()
        return engine

    def split(self, text: str) -> list[str]:
        """The words of a text, known or not."""
        plain = self.engine.normalizer.normalize_str(text.encode("utf-8", "replace").decode("utf-8"))
        return [word for word, _ in self.engine.pre_tokenizer.pre_tokenize_str(plain)]

    def fit(self, text: str) -> "WordPieceTokenizer":
        """Learn which neighbours to join; words with a character that is too rare to be kept teach nothing."""
        from tokenizers.trainers import WordPieceTrainer

        words = self.split(text)
        counts = Counter(character for word in words for character in word)
        kept = sorted(sorted(counts, key=lambda one: (-counts[one], one))[: (self.vocabulary - len(SPECIAL)) // 4])
        spelled = [word for word in words if set(kept).issuperset(word)]
        names = [*SPECIAL, *kept, *(INSIDE + character for character in kept)]  # in an order that is always the same
        trainer = WordPieceTrainer(
            vocab_size=self.vocabulary, special_tokens=names, min_frequency=2, show_progress=False
        )
        engine = self._engine()
        engine.train_from_iterator((" ".join(spelled[at : at + 1000]) for at in range(0, len(spelled), 1000)), trainer)
        vocabulary = engine.get_vocab()
        self.know(sorted(vocabulary, key=vocabulary.__getitem__))
        return self

    def _encoded(self, text: str) -> list[Any]:
        """The lines as the library encodes them, on all cores: a line break always ends a word."""
        lines = text.encode("utf-8", "replace").decode("utf-8").split("\n")
        return list(self.engine.encode_batch(lines, add_special_tokens=False))

    def encode(self, text: str) -> Int64[np.ndarray, " T"]:
        """The ids of the pieces, without [CLS] and [SEP]."""
        return np.array([id for line in self._encoded(text) for id in line.ids], dtype=np.int64)

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Where each piece of a text begins and ends, in characters."""
        found, start = [], 0
        for line, encoded in zip(text.split("\n"), self._encoded(text), strict=True):
            found += [(start + first, start + last) for first, last in encoded.offsets]
            start += len(line) + 1
        return found

    def lost(self, text: str) -> list[str]:
        """Every occurrence of a word that no pieces spell, as the tokenizer normalizes it."""
        unknown, spans = self.ids[UNKNOWN], self.offsets(text)
        places = (span for id, span in zip(self.encode(text).tolist(), spans, strict=True) if id == unknown)
        return ["".join(self.split(text[first:last])) for first, last in places]

    def unknown(self, text: str) -> list[str]:
        """The words that no pieces spell, each once, in their order."""
        return list(dict.fromkeys(self.lost(text)))

    def normalized(self, text: str) -> str:
        """The words and marks with one space between them, lowercased where the tokenizer does so."""
        return " ".join(self.split(text))

    def piece(self, id: int, before: int | None = None) -> bytes:
        """The piece, after a space where it begins a word and something comes before it."""
        piece = super().piece(id)
        return piece if before is None or self.words[id].startswith(INSIDE) else b" " + piece

    def token(self, id: int) -> str:
        """The piece as the vocabulary spells it: "##ing" goes on a word."""
        return visible(self.words[id])

    def to_json(self) -> dict[str, Any]:
        """The options and the pieces by id."""
        options = {"vocabulary": self.vocabulary, "lower": self.lower, "accents": self.accents}
        return options | {"words": self.words}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "WordPieceTokenizer":
        """The tokenizer that `to_json` wrote down."""
        tokenizer = cls(
            field(data, "vocabulary", Vocabulary), field(data, "lower", bool), field(data, "accents", Accents)
        )
        words = field(data, "words", list[str])
        missing = [name for name in SPECIAL if name not in words]
        if missing or len(set(words)) < len(words):
            raise wrong("words", f"{missing[0]} is missing" if missing else "each should be there once")
        tokenizer.know(words)
        return tokenizer
