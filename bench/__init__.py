"""Speed and memory, beside what the machine allows and beside the other implementations: `python -m bench`.

Each part is one file; `README.md` says where the time goes.
"""
