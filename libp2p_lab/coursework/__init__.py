"""How do you know that you have understood it? You build the part, and a check says where it departs.

Read in this order:

1. `checks`: what a check is, and what it answers; `render`: how that looks;
2. `exam`: what a check's code works with; `chapter_00` and so on: the checks, and `catalogue`: all of them;
   `scratch_peers`: peers with one flaw each, for chapter 03;
3. `misuse`: what any answer can get wrong; `worker`, `process`: where answers run; `hangs`, `student_code`;
4. `slots`: a student's part in a live peer;
5. `questions`, `workbook`, `session`: predictions, hints, quizzes, progress;
6. `seeds`, `release`; `handed_in`, `rerun`, `grading`; `forms`, `health`: for who gives a course.

What people use of it has its name in `libp2p_lab` itself: `lab.check`, `lab.hint` and so on; the slots are in `slots`.
This package imports nothing by itself, so that the process of an answer loads its own chapter and no other.

The answers run in a process of their own (`worker` says why). Left out: nothing here protects from malice. A student
who wants to cheat a check on their own machine can; a course grades on its own machine, with hidden seeds.
"""
