//! vectorfill: a Redis module that keeps every FalkorDB node that has a text supplied with a vector
//! embedding.

mod embed;
mod error;
mod fill;
mod server;
mod worker;

use redis_module::{AclCategory, redis_module};

use server::{acl_category, deinit, init};

redis_module! {
    name: "vectorfill",
    version: 100,
    // The system's allocator and not Redis': a model of 90 MB must not count as used memory, or
    // maxmemory would evict the user's keys for it.
    allocator: (std::alloc::System, std::alloc::System),
    data_types: [],
    acl_categories: [acl_category(),],
    init: init,
    deinit: deinit,
    commands: [],
}
