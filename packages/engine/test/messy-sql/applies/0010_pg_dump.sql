--
-- PostgreSQL database dump
--

-- Dumped from database version 17.6

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: legacy; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA legacy;

SET default_tablespace = '';

SET default_table_access_method = heap;

CREATE TABLE legacy.items (
    id integer NOT NULL,
    name text
);

CREATE SEQUENCE legacy.items_id_seq AS integer START WITH 1 INCREMENT BY 1 NO MINVALUE NO MAXVALUE CACHE 1;
ALTER SEQUENCE legacy.items_id_seq OWNED BY legacy.items.id;
ALTER TABLE ONLY legacy.items ALTER COLUMN id SET DEFAULT nextval('legacy.items_id_seq'::regclass);
INSERT INTO legacy.items VALUES (1, 'one');
SELECT pg_catalog.setval('legacy.items_id_seq', 1, true);
ALTER TABLE ONLY legacy.items ADD CONSTRAINT items_pkey PRIMARY KEY (id);

--
-- PostgreSQL database dump complete
--

