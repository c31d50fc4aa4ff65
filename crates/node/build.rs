//! Links the add-on the way Node.js expects it on each platform.

fn main() {
    napi_build::setup();
}
