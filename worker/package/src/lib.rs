//! HLS playlists and the layout of an output tree.
