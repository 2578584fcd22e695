mod failures;
mod fakes;
mod flows;
mod windows;
