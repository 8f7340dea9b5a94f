//! One profile to show for each size: a board can have thirty profiles, of six sizes.

use std::collections::BTreeMap;

/// One profile of each size, smallest first. A profile for workstations (A40-8Q) stands for the others of its size.
/// Each item is a size, the name of the profile, and whatever belongs to it.
pub fn each_size<'a, T>(profiles: impl Iterator<Item = (u64, &'a str, T)>) -> BTreeMap<u64, (&'a str, T)> {
    let mut shown = BTreeMap::new();
    for (size, name, rest) in profiles {
        let is_better = |there: &str| name.ends_with('Q') && !there.ends_with('Q');
        if shown.get(&size).is_none_or(|(there, _): &(&str, T)| is_better(there)) {
            shown.insert(size, (name, rest));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_stands_for_its_size_unless_there_is_one_for_workstations() {
        let profiles = [(8, "A40-8A"), (8, "A40-8Q"), (8, "A40-8C"), (4, "A40-4C"), (4, "A40-4A"), (2, "A40-2Q")];
        let shown = each_size(profiles.into_iter().map(|(size, name)| (size, name, ())));
        assert_eq!(shown.into_values().map(|(name, ())| name).collect::<Vec<_>>(), ["A40-2Q", "A40-4C", "A40-8Q"]);
    }
}
