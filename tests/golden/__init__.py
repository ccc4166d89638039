"""What is stored must stay readable: logs as this and earlier versions wrote them, and the shapes of stored types.

- `<context>-<fold version>.log.jsonl`: a whole log, record by record, with its claims, commits and journal of commands.
- `<context>-<fold version>.ingest.jsonl`: the input that its commits name.
- `<context>-<fold version>.snapshot.arrow` and `.index.json`: a snapshot taken in the middle, and its index entry.
- `<context>-<fold version>-<number>.…`: the same for a later story, told when an event had got its next version.
- `shapes.json`: the JSON schema of every stored type without its words, one type a line.

Files of a released version are never changed and never deleted. `python -m tests.golden.record` adds what is missing:

- A new event type, or the next version of one: its shape, and a story of its own in `story.LATER`; the old version gets
  an upcaster (`schemas.registry`) and keeps its lines here.
- A fold that leads elsewhere: raise `fold_version`, keep the old rules behind `follow`: they replay the old logs.
- A command may gain a field whose default means what was meant before. Anything else needs a command of another name.

Before the first release a file may be deleted and recorded anew.
"""
