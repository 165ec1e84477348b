"""The data of the golden trainings: what it is may never change, or every figure would."""

import wave
from pathlib import Path
from random import Random


def text(folder: Path) -> Path:
    """Sentences of a small grammar."""
    draw = Random(1)
    cases = ["The cat", "A dog", "The old man", "My friend", "The sea"]
    verbs = ["sees", "likes", "finds", "wants"]
    objects = ["the moon", "a red house", "no bread", "the river", "two birds"]
    lines = [f"{draw.choice(cases)} {draw.choice(verbs)} {draw.choice(objects)}." for _ in range(500)]
    (folder / "text.txt").write_text("\n".join(lines) + "\n")
    return folder / "text.txt"


def table(folder: Path) -> Path:
    """Names of two languages, with a number that goes with them."""
    draw = Random(2)
    endings = {"it": ["ini", "otti", "ello"], "de": ["mann", "berg", "er"]}
    lines = []
    for _ in range(120):
        label = draw.choice(sorted(endings))
        name = "".join(draw.choice("abcdefgilmnorst") for _ in range(draw.randrange(2, 6))) + draw.choice(
            endings[label]
        )
        lines.append(f"{name},{label},{len(name) + draw.random():.3f}")
    (folder / "names.csv").write_text("\n".join(["text,label,number", *lines]) + "\n")
    return folder / "names.csv"


def two_languages(folder: Path) -> Path:
    """Sentences with their translations, word by word and the verb at the end."""
    draw = Random(3)
    cases = {"die Katze": "the cat", "der Hund": "the dog", "ein Kind": "a child"}
    verbs = {"sieht": "sees", "sucht": "seeks", "findet": "finds"}
    objects = {"den Mond": "the moon", "das Haus": "the house", "ein Buch": "a book", "nichts": "nothing"}
    for part, size in (("train", 80), ("val", 16), ("test", 16)):
        german, english = [], []
        for _ in range(size):
            s, v, o = draw.choice(list(cases)), draw.choice(list(verbs)), draw.choice(list(objects))
            german.append(f"Heute hat {s} {o} , {s} {v}.")
            english.append(f"Today {cases[s]} {verbs[v]} {objects[o]}.")
        (folder / f"{part}.de").write_text("\n".join(german) + "\n")
        (folder / f"{part}.en").write_text("\n".join(english) + "\n")
    return folder


def noises(folder: Path) -> Path:
    """Sounds of three kinds."""
    draw = Random(4)
    for number in range(24):
        with wave.open(str(folder / f"{number % 3}_someone_{number // 3}.wav"), "wb") as sound:
            sound.setparams((1, 2, 8000, 0, "NONE", ""))
            sound.writeframes(bytes(draw.randrange(256) for _ in range(1200 + 400 * (number % 3))))
    return folder


def tagged(folder: Path) -> Path:
    """Sentences in columns, with names of people and places."""
    draw = Random(5)
    blocks = []
    for _ in range(60):
        person, place = draw.choice(["Ada", "Grace", "Alan"]), draw.choice(["London", "Delft", "York"])
        rows = [(person, "B-PER"), ("Smith", "I-PER"), ("lives", "O"), ("in", "O"), (place, "B-LOC"), (".", "O")]
        blocks.append("\n".join(f"{word} {tag}" for word, tag in rows[draw.randrange(2) :]))
    (folder / "tagged.conll").write_text("\n\n".join(blocks) + "\n")
    return folder / "tagged.conll"
