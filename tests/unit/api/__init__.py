"""The HTTP API in process, over real deciders on memory stores."""
