//! deploy/orchestration: what `kubectl kustomize` makes of it, whether a real API server takes it as it is, and whether it
//! agrees with the program, the configuration and itself.

// What an overlay with components is made to.
mod rendered;
// A real API server that has the production overlay.
mod installed;

// The API server takes every composition, strictly, and its admission does too.
mod accepted;
// Autoscalers ask for what the configuration defines, as they should.
mod autoscalers;
// Flags, ports, times and versions are those of the program.
mod deployment;
// One object per file, and no file that nobody uses.
mod files;
// Rules as objects, and deploy/monitoring.
mod monitoring;
// Whoever needs a right has it, and nobody has another.
mod permissions;
