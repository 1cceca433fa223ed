//! The image: what its root file system holds, that the Dockerfile is made of nothing else, and that callfeed does its
//! work in it as a user without rights.

mod contents;
mod dockerfile;
mod work;
