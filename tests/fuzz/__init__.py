"""Coverage-guided fuzzing of every decoder and core: `make fuzz`, or `python -m tests.fuzz`.

targets.py      for each decoder and core a function that takes any bytes and must not mind
seeds.py        the corpus to begin with, from the test vectors and from messages of our own
__main__.py     runs atheris on them, each in a process of its own
corpus/         what has been of interest; a crash that was found is kept here too
test_fuzz.py    the whole corpus through every target, and a few seconds of atheris on all
"""
