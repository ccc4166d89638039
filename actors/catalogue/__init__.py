"""The catalogue (데이터 목록): the city's datasets, what comes in for them, and who may see it."""
