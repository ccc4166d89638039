"""The vocabulary: ids, commands, events, table and API models, upcasting, errors. Opens no network connection."""
