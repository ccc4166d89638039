"""The catalogue of datasets as others read it: in DCAT-AP 3, and found by words in Korean and English."""
