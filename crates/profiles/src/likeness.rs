//! How alike two names are, for a misspelt one.

/// How alike two names are, from 0 (nothing in common) to 1,000,000 (the same). A whole number, since it is sorted by.
pub fn likeness(one: &str, other: &str) -> u32 {
    (strsim::normalized_damerau_levenshtein(one, other) * 1e6) as u32
}
