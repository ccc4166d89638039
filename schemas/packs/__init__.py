"""City packs: the facts of a city as readable files, and their loader. Another city is another folder."""
