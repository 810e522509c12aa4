-- kind: expand
-- The graph. create_graph wants ag_catalog on the search_path from AGE 1.7 on; the runner's transaction ends the SET LOCAL.

CREATE EXTENSION IF NOT EXISTS age;
SET LOCAL search_path = ag_catalog, public;
SELECT create_graph('knowledge');
SELECT create_vlabel('knowledge', 'Concept');
SELECT create_elabel('knowledge', 'RELATION');
-- One vertex per name: a MERGE alone does not promise that under concurrency.
CREATE UNIQUE INDEX concept_name ON knowledge."Concept" (agtype_access_operator(properties, '"name"'::agtype));
-- And one edge of a type between two of them.
CREATE UNIQUE INDEX relation_once ON knowledge."RELATION" (start_id, end_id, agtype_access_operator(properties, '"type"'::agtype));
