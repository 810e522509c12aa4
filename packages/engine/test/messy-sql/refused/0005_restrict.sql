--
-- PostgreSQL database dump
--

\restrict abc123

SET statement_timeout = 0;
\unrestrict abc123
