//! CMAF and MP4 boxes, fragments, exact timelines, and their reader.
