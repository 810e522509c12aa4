LOAD 'age';
SET search_path = ag_catalog, "$user", public;
SELECT create_graph('messy_graph');
SELECT * FROM cypher('messy_graph', $$
  CREATE (a:Person {name: 'Ada; the "first"'})-[:KNOWS {since: 1833}]->(b:Person {name: 'Charles\'s'})
  RETURN a
$$) AS (a agtype);
SELECT * FROM cypher('messy_graph', $q$ MATCH (p:Person) WHERE p.name STARTS WITH 'Ada' RETURN p.name // a comment; here
$q$) AS (name agtype);
