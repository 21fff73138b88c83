-- floor: 1
-- Entries of op system, version 1: what identity is made of, found among millions of others.
--
-- An entry begins with version and id, which are of one length, and then its op. Older programs
-- keep the index up to date without knowing of it. Making it reads the log once; events wait
-- meanwhile.

CREATE INDEX log_system ON log (tenant, idx)
    WHERE substring(entry FROM 50 FOR 15) = '","op":"system"'::bytea;
