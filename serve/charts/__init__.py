"""Pictures of the city: Vega-Lite specifications, and SVG or PNG made of them with Korean letters."""
