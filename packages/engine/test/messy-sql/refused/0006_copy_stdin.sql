CREATE TABLE t (id int, name text);
COPY t (id, name) FROM stdin;
1	it's; one
2	\N
\.

SELECT 1;
