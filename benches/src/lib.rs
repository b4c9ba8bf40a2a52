//! Benches of maxlik live in `benches/`, one file for each area; the scripts that run its Python
//! peers on the same work are in `peers/`.
