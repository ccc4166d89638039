"""Who is where when: sources of counts per 500 m cell and hour, their days, and the grid."""
