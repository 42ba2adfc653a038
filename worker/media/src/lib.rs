//! libav, x264, pixels and samples: index, exact range decode, encode, proof. The only unsafe room.
