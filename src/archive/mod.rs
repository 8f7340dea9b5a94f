//! Archives NVIDIA hands out: GRID .zip files and makeself .run files → a stream of checked members.
