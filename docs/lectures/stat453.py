# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A character RNN, step by step
#
# STAT453, lecture 19 (Sebastian Raschka). For students who know RNN classifiers: at the end you can train a character RNN on
# your text, explain every tensor in it, and choose a temperature. The text is the help pages that come with every Python.
# His text, a COVID-19 FAQ, is used by the recipe
# `unspool train char-rnn-stat453 data.path=FILE`.
#
# This page is a Python file, `docs/lectures/stat453.py`: run it as a script, open it as a notebook (jupytext), or read it on
# the site. Figures that the lecture published are one run of its code: compare with them, and expect other values.

# %%
import regex
import torch
from anyascii import anyascii
from matplotlib.figure import Figure
from shared import SMALL, below, coloured, lines, noted, picture, results, slider, table, trained
from torch import nn

import unspool

# %%
from unspool.data.corpora import corpus
from unspool.generate.sampling import temperature

text = anyascii(corpus("python-docs").text)  # as the lecture does: ü becomes u
print(f"{len(text):,} characters, {len(set(text))} different ones")

# %% [markdown]
# ## 1. Outline: from an RNN to a model without recurrence
#
# *Introduction.* The lecture goes from classifying a text to generating one; attention is added to an RNN, and then the RNN is
# removed. Here are the first and the last of the three, trained on one text for the same few steps. (Attention between an
# encoder and a decoder, the one in the middle, is scene 5 of the practicum's page.)

# %%
rnn = trained("char-lm", core={"kind": "recurrent", "cell": "elman", "width": 256}, train__steps=300)
lstm = trained("char-lm", core={"kind": "recurrent", "cell": "lstm", "width": 256, "input_width": 64}, train__steps=300)
attends = {"kind": "transformer", "width": 128, "layers": 2, "context": 128}
transformer = trained("char-lm", core=attends, train__steps=300)
runs = {"RNN": rnn, "LSTM": lstm, "transformer": transformer}
table(
    {"core": name, "validation loss": results(run)["valid/contiguous/loss"],
     "writes": "".join(run.stream("The ", length=50, seed=1))}
    for name, run in runs.items()
)  # fmt: skip

# %% [markdown]
# **Question.** A transformer reads all characters at once. How does it know their order?
#
# <details><summary>Answer</summary>From positions alone: this one turns queries and keys by angles that grow with the position
# (rotary embeddings). Without positions it could not tell "no" from "on".</details>
#
# ## 2. An LSTM cell is clearer than an LSTM
#
# *The code, early.* `nn.LSTM` hides the loop over time; `nn.LSTMCell` shows it: hidden state and memory go in, hidden state and
# memory come out. Both compute the same.

# %%
cell, whole = nn.LSTMCell(8, 16), nn.LSTM(8, 16, batch_first=True)
for name, weight in cell.named_parameters():
    getattr(whole, f"{name}_l0").data = weight.data
x, h, c = torch.randn(1, 5, 8), torch.zeros(1, 16), torch.zeros(1, 16)
outputs = []
for t in range(5):
    h, c = cell(x[:, t], (h, c))
    outputs.append(h)
print("largest difference:", (torch.stack(outputs, dim=1) - whole(x)[0]).abs().max().item())

# %% [markdown]
# **Question.** Who needs the loop?
#
# <details><summary>Answer</summary>Whoever writes: each character is known only after the one before was drawn. Training knows
# them all, so it can call the whole sequence at once, which is many times as fast.</details>
#
# ## 3. The setting
#
# *Portion 200, 5,000 iterations, learning rate 0.005, embedding 100, hidden 128.* His model has 140,660 weights. An LSTM of
# PyTorch has two biases, which are only ever added to each other; ours has one.

# %%
alphabet, embedded, hidden = 100, 100, 128
embedding, output = alphabet * embedded, hidden * alphabet + alphabet
for biases in (2, 1):
    cell_weights = 4 * hidden * (embedded + hidden + biases)
    print(f"{biases} biases: {embedding:,} + {cell_weights:,} + {output:,} = {embedding + cell_weights + output:,}")

# %% [markdown]
# **Question.** Where are the 512 that ours does not have?
#
# <details><summary>Answer</summary>4 gates x 128 units: the second bias.</details>
#
# ## 4. Characters as numbers
#
# *In the middle.* Python's `string.printable` has 100 symbols; a character's number is its place among them.

# %%
printable = unspool.tokenizers.build("tokenizer", {"kind": "char", "alphabet": "printable"}).fit("")
print(printable.size, printable.encode("abcDEF").tolist())  # 100 and [10, 11, 12, 39, 40, 41], as in the lecture

# %% [markdown]
# **Question.** What becomes of a character that is none of the 100, such as *ü*?
#
# <details><summary>Answer</summary>The lecture transliterates the text first (<code>data.ascii=true</code>: ü becomes u). A
# tokenizer that is fitted to the text has a number for every character in it, and one for all unknown ones.</details>
#
# ## 5. Portions, and targets one character later
#
# *A random portion may begin in the middle of a word; real use wants sentences. The target is the input, moved by one.*

# %%
torch.manual_seed(1)
starts = torch.randint(len(text) - 201, (4,)).tolist()
sentences = [match.start() for match in regex.finditer(r"(?<=[.!?]\s+)\p{Lu}", text)]
parts = []
for label, places in (("random portions", starts), ("at sentences", [sentences[p % len(sentences)] for p in starts])):
    parts += [(f"{label}\n", "#dddddd")]
    for place in places:
        chopped = regex.match(r"\w*", text[place:])[0] if text[place - 1].isalnum() else ""
        parts += [(chopped, "#ffb3b3"), (text[place + len(chopped) : place + 60].replace("\n", " ") + "\n", "")]
coloured(parts)

# %%
ids = torch.as_tensor(printable.encode(text[starts[0] : starts[0] + 201]))
inputs, targets = ids[:-1], ids[1:]
assert torch.equal(targets[:-1], inputs[1:])
print(repr(printable.decode(inputs[:30].tolist())), repr(printable.decode(targets[:30].tolist())), sep="\n")

# %% [markdown]
# **Question.** The lecture's code draws a start from 0 to the length of the text minus 200, inclusive. Which start is too far?
#
# <details><summary>Answer</summary>The last: the portion needs 201 characters, since the last input has a target too. His code
# fails there, which happens in about 6 % of runs.</details>
#
# ## 6. The embedding, and scores for every character
#
# *An integer becomes a vector of 100, the vector a state of 128, the state one score for each character; no softmax.* Looking
# up row i is the same as multiplying the matrix by a one-hot vector. A model that knows nothing gives each of 100 characters
# the same probability, so its loss is ln 100 = 4.605 (published: 4.63 at iteration 0).

# %%
weights = nn.Embedding(100, 100)
three = torch.tensor([2, 0, 1])
one_hot = nn.functional.one_hot(three, 100).float()
print("lookup = product:", torch.equal(weights(three), one_hot @ weights.weight))
recipe = unspool.load_recipe("char-rnn-stat453")
core = unspool.cores.build("core", recipe["core"])
model = unspool.SequenceModel(unspool.embedding(unspool.Tokens(100), 100), core, unspool.head(unspool.Tokens(100), 128))
logits, _ = model(inputs[None], model.start(inputs[None]))
print(tuple(logits.shape), "loss", round(nn.functional.cross_entropy(logits[0], targets).item(), 3))

# %% [markdown]
# **Question.** Why is there no softmax before the loss?
#
# <details><summary>Answer</summary><code>cross_entropy</code> takes logits and has the softmax inside, where its logarithm can
# be taken without overflow.</details>
#
# ## 7. The training loop
#
# *The state is zero at the start of each portion; the loss is divided by the 200 characters, so that the learning rate does not
# depend on the length; backward; step.* Published at iterations 0, 200, ..., 1,000: 4.63, 2.08, 2.07, 1.76, 1.43, 1.56, and 0.92 at
# 4,800. Here is the loop by hand, for two lengths.


# %%
def new_model():
    torch.manual_seed(123)
    core = unspool.cores.build("core", recipe["core"])
    return unspool.SequenceModel(
        unspool.embedding(unspool.Tokens(100), 100), core, unspool.head(unspool.Tokens(100), 128)
    )


# %%
tokens = torch.as_tensor(printable.encode(text))


def random_portion(length):
    start = torch.randint(len(tokens) - length, ()).item()
    return tokens[None, start : start + length + 1]


# %%
def losses(model, length, steps):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    for _ in range(steps):
        portion = random_portion(length)
        logits, _ = model(portion[:, :-1], model.start(portion))
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), portion[0, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.item()


# %%
curves = {}
for length in (50, 200):
    each = torch.tensor([*losses(new_model(), length, steps=20 if SMALL else 400)])
    means = each.unflatten(0, (-1, 20)).mean(dim=1)
    curves[f"portions of {length}"] = (range(10, len(each), 20), means.tolist())
lines(curves, "iteration", "loss, nats per character",
      "Loss of portions of 50 and of 200 characters: both fall from 4.6 to about 2")  # fmt: skip

# %% [markdown]
# **Question.** Why does a curve of one portion at a time zigzag?
#
# <details><summary>Answer</summary>Each loss is of another portion, and some portions are easier: a table of functions is not a
# paragraph of prose. Average a few hundred (the recipe's claim is the mean of the last fifth) or take more rows at a
# time.</details>
#
# The recipe trains all 5,000 iterations in half a minute, with losses equal to the loop's. Its mean over iterations 4,000 to
# 4,999, on the lecturer's text (the five values that he logged there average 1.12):

# %%
print(noted("char-rnn-stat453", "train/loss"))

# %% [markdown]
# ## 8. Writing, with a prime
#
# *Late.* "Th" builds up the state; then each drawn character is the next input. (He says a hundred characters, the code writes
# 200.) Reading the prime at once, or one character after the other, gives the same state.

# %%
stream = lstm.stream("Th", length=200, seed=1, sampling=unspool.Sampling(temperature=0.8))
written = "".join(stream)
print("Th" + written)
whole, pieces = lstm.read("The list"), lstm.read("list", state=lstm.read("The "))
print("largest difference of the logits:", (whole.logits - pieces.logits).abs().max().item())

# %% [markdown]
# **Question.** Would you prime with a whole word? What is different?
#
# <details><summary>Answer</summary>A longer prime tells the state more: where it is in a line, what the sentence is about. The
# first characters are then drawn from a sharper distribution.</details>
#
# ## 9. Temperature
#
# *exp(scores / T), drawn.* A small T is sharp; with a high one the text is more diverse and has more mistakes. (In the lecture it
# is first said the other way round, then corrected.)


# %%
def bars(t, state):
    p, ids = (state.logits[0] / t).softmax(-1).sort(descending=True)
    figure = Figure(figsize=(6, 2))
    ax = figure.add_subplot()
    ax.bar([repr(lstm.tokenizer.decode([int(i)]))[1:-1] for i in ids[:15]], p[:15].tolist())
    ax.set(ylim=(0, 1), ylabel="probability")
    sample = "".join(lstm.stream("The ", length=150, seed=1, sampling=unspool.Sampling(temperature=t)))
    drawn = picture(figure, f"The fifteen likeliest characters after 'The ' at a temperature of {t}")
    return below([drawn, coloured([("The " + sample, "")])])


# %%
slider("temperature", {str(t): bars(t, lstm.read("The ")) for t in (0.1, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0)})

# %%
known = set(regex.findall(r"\p{L}+", text))


def table_row(t):
    written = "".join(
        lstm.stream("The ", length=150 if SMALL else 1500, seed=2, sampling=unspool.Sampling(temperature=t))
    )
    words = [word for word in regex.findall(r"\p{L}+", written)[1:-1] if len(word) > 2] or ["?"]
    real, different = sum(word in known for word in words) / len(words), len(set(words)) / len(words)
    return {"temperature": t, "share of real words": real, "share of different words": different}


table([table_row(t) for t in (0.1, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0)])

# %% [markdown]
# The draws follow the softmax: of 20,000 characters drawn after the same prime, each comes as often as its probability says
# (chi-square test; a p-value under 0.001 would be suspicious).

# %%
p = (lstm.read("The ").logits[0] / 0.8).softmax(-1)
prompt = torch.as_tensor(lstm.tokenizer.encode("The ")).expand(20000, -1)
ids = next(unspool.sample_tokens(lstm.model, prompt, temperature(0.8), seed=1)).ids
counts, expected = torch.bincount(ids.flatten(), minlength=len(p)).double(), 20000 * p.double()
often = expected > 5
statistic = ((counts - expected)[often] ** 2 / expected[often]).sum()
freedom = torch.tensor(float(often.sum() - 1))
print(
    "chi-square", round(float(statistic), 1), "p", round(float(torch.special.gammaincc(freedom / 2, statistic / 2)), 3)
)

# %% [markdown]
# **Question.** Is T = 0 allowed?
#
# <details><summary>Answer</summary>As a formula no, it divides by zero. As a limit it always takes the likeliest character;
# <code>temperature=0</code> means that here.</details>
#
# ## 10. From gibberish to words
#
# *The end.* After two minutes words of the corpus appear; it still means nothing. The same prime and the same random numbers
# after more and more steps; words of the text are green.


# %%
def progress(steps):
    run = trained(
        "char-lm", train__steps=steps, core={"kind": "recurrent", "cell": "lstm", "width": 128, "input_width": 64}
    )
    written = "".join(run.stream("The ", length=220, seed=1, sampling=unspool.Sampling(temperature=0.8)))
    parts = [(part, "#c8efc8" if part in known and len(part) > 2 else "") for part in regex.split(r"(\p{L}+)", written)]
    return coloured([(f"after {steps} steps: The ", "#dddddd"), *parts, ("\n", "")])


# %%
stages = [progress(steps) for steps in (20, 60, 180, 540)]
below(stages)

# %% [markdown]
# **Question.** More layers, another temperature, or more time: which helps most?
#
# <details><summary>Answer</summary>Try it: <code>core.layers=2</code>, <code>sample --temperature 0.5</code>,
# <code>train.steps=5000</code>. Time, at this size; a low temperature only hides the mistakes.</details>
#
# *The lecture ends by announcing attention: the page of MIT 6.S191, scenes 12 to 15, has it.*
