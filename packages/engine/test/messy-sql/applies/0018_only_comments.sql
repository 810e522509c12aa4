-- nothing to do any more; see 0019
/* COMMIT; */
