"""Where a translation encoder puts phrases: dates in words become digits; july (07) comes to lie by the seventh (07).

python benchmarks/phrases.py data --out dates      writes dates.tsv, numbers.txt and kinds.txt
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
SETTINGS = ["train.epochs=4.0", "train.min_steps=1", "task.batch_size=32"]
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
    return f"{generator.choice(forms)}\t{year} {month + 1:02d} {day + 1:02d}"


def write_data(folder: Path) -> None:
    """The pairs; months and days by their number, and among decades by their kind."""
    generator = random.Random(0)
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["source\ttarget", *(pair(generator) for _ in range(PAIRS))]
    days = [day for day in DAYS if " " not in day]  # one word each: the form gives nothing away
    kinds = [f"{group}\t{one}" for group, some in (("month", MONTHS), ("day", days), ("year", TENS)) for one in some]
    numbers = [f"{number:02d}\t{one}" for some in (MONTHS, days[:12]) for number, one in enumerate(some, start=1)]
    numbers += [*days[12:], *TENS]
    for name, some in (("dates.tsv", lines), ("numbers.txt", numbers), ("kinds.txt", kinds)):
        write_text(folder / name, "\n".join(some) + "\n")


def precision(run: Run, folder: Path) -> list[str]:
    """How often the nearest phrase has the same number, and the 5 nearest of a month are months, beside chance."""
    look, found = run.look("the third of march"), []
    for pooling in ("mean", "final"):
        twins = look.view("phrases", file=folder / "numbers.txt", pooling=pooling, count=1).precision["all"]
        months = look.view("phrases", file=folder / "kinds.txt", pooling=pooling).precision["month"]
        found += [f"{pooling}: numbers {twins.value:.2f} (chance {twins.chance:.2f})"]
        found += [f"months {months.value:.2f} (chance {months.chance:.2f})"]
    return found


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
