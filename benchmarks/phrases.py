"""Where a translation encoder puts phrases: dates in words are translated to digits, and the months lie together.

python benchmarks/phrases.py data --out dates      writes dates.tsv and names.txt
python benchmarks/phrases.py train --out dates     trains three seeds on them; a table of precision beside chance
"""

import argparse
import random
from pathlib import Path

from unspool import Run, load_recipe
from unspool.experiment.experiment import Experiment
from unspool.files import write_text

MONTHS = ("january february march april may june july august september october november december").split()  # noqa: SIM905
UNITS = "first second third fourth fifth sixth seventh eighth ninth".split()  # noqa: SIM905
TEENS = ("tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth").split()  # noqa: SIM905
TWENTIES = ["twentieth", *(f"twenty {unit}" for unit in UNITS)]
DAYS = [*UNITS, *TEENS, *TWENTIES, "thirtieth"]
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()  # noqa: SIM905
ONES = ["", *"one two three four five six seven eight nine".split()]  # noqa: SIM905
YEARS = {1920 + 10 * t + o: f"nineteen {ten} {one}".strip() for t, ten in enumerate(TENS) for o, one in enumerate(ONES)}
PAIRS = 4000
SETTINGS = ["train.epochs=4.0", "train.min_steps=1", "task.batch_size=32", "encoder.input_width=16", "encoder.width=32"]
"""Of the recipe `translate`."""
RANDOM = [*SETTINGS, "train.epochs=0.0", "train.steps=1", "train.learning_rate=1e-9"]
"""Settings that leave the weights as they begin."""


def pair(generator: random.Random) -> str:
    """A date in words, a tab, and the same date in digits."""
    month, day, year = generator.randrange(12), generator.randrange(30), generator.choice(list(YEARS))
    forms = (
        f"the {DAYS[day]} of {MONTHS[month]} {YEARS[year]}",
        f"{MONTHS[month]} the {DAYS[day]} {YEARS[year]}",
        f"in {YEARS[year]} on {MONTHS[month]} {DAYS[day]}",
    )
    return f"{generator.choice(forms)}\t{year} {month + 1:02d} {day + 1}"


def write_data(folder: Path) -> None:
    """The pairs, and names of months, days and years."""
    generator = random.Random(0)
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["source\ttarget", *(pair(generator) for _ in range(PAIRS))]
    days, years = [day for day in DAYS if " " not in day], TENS  # one word each: the form gives nothing away
    names = [f"{group}\t{one}" for group, some in (("month", MONTHS), ("day", days), ("year", years)) for one in some]
    for name, some in (("dates.tsv", lines), ("names.txt", names)):
        write_text(folder / name, "\n".join(some) + "\n")


def precision(run: Run, folder: Path) -> list[str]:
    """The precision at 5 of the names of months, with the mean of the encoder's outputs and with the final one."""
    look = run.look("the third of march")
    every = [look.view("phrases", file=folder / "names.txt", pooling=one).precision for one in ("mean", "final")]
    return [
        f"{group} {one[group].value:.2f} (chance {one[group].chance:.2f})"
        for one in every
        for group in ("month", "all")
    ]


def main() -> None:
    """Write the data, or train on it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["data", "train"])
    parser.add_argument("--out", type=Path, default=Path("dates"))
    parser.add_argument("--seeds", default="0,1,2")
    options = parser.parse_args()
    write_data(options.out)
    for seed in options.seeds.split(",") if options.what == "train" else ():
        for steps in (1, None):  # beside the random weights
            budget = SETTINGS if steps is None else RANDOM
            settings = [*budget, f"data.path={options.out / 'dates.tsv'}", f"seed={seed}"]
            folder = options.out / f"{'random' if steps else 'run'}-{seed}"
            list(Experiment.new(load_recipe("translate", settings), folder))
            run = Run.load(folder)
            result = "" if steps else f"  accuracy {run.evaluate()['valid/teacher_forced/accuracy']:.3f}"
            print(f"{folder}: {'  '.join(precision(run, options.out))}{result}", flush=True)


if __name__ == "__main__":
    main()
