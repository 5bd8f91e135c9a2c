import Foundation

/// An object of the database that is not as the migrations make it.
package struct MigrationDrift: Sendable, Equatable, CustomStringConvertible {
    /// The ways in which an object can differ.
    package enum Kind: String, Sendable {
        /// The migrations make it, the database lacks it.
        case missing
        /// The database has it, the migrations do not make it.
        case unexpected
        /// Both have it, with different definitions.
        case different
    }

    /// The way in which it differs.
    package let kind: Kind
    /// What it is, such as `column public.users.email` or `index public.users_email`.
    package let object: String
    /// Its definition by the migrations.
    package let expected: String?
    /// Its definition in the database.
    package let actual: String?

    /// One line with both definitions where they differ.
    package var description: String {
        switch kind {
        case .missing: "missing: \(object)"
        case .unexpected: "unexpected: \(object)"
        case .different: "different: \(object): expected \(expected ?? "nothing"), found \(actual ?? "nothing")"
        }
    }
}

extension Migrator {
    /// Compares the database with what its migrations make of an empty one, and gives every difference; none is good.
    ///
    /// The applied migrations are run in a scratch database on the same server, which is dropped afterwards; both
    /// catalogues are then described object by object. Partitions are left out, since they come and go at run time.
    /// Throws `MigrationError`: when an applied file was changed, or with code `noScratchDatabase` when the user may
    /// not create databases.
    package func validate() async throws -> [MigrationDrift] {
        let files = try MigrationFile.read(directory: directory)
        let (applied, actual) = try await withDirectConnection { connection in
            let applied = try await Self.applied(connection)
            try Self.check(files, against: applied)
            return (applied.count, try await Self.describe(connection))
        }
        let expected = try await describeScratch(files.prefix(applied))
        return Self.compare(expected: expected, actual: actual)
    }

    /// Definitions by object.
    typealias Catalogue = [String: String]

    static func compare(expected: Catalogue, actual: Catalogue) -> [MigrationDrift] {
        Set(expected.keys).union(actual.keys).sorted().compactMap { object in
            let (expected, actual) = (expected[object], actual[object])
            if expected == actual { return nil }
            let kind: MigrationDrift.Kind = actual == nil ? .missing : expected == nil ? .unexpected : .different
            return MigrationDrift(kind: kind, object: object, expected: expected, actual: actual)
        }
    }

    private func describeScratch(_ files: ArraySlice<MigrationFile>) async throws -> Catalogue {
        let name = "litemaas_validate_\(UUID().uuidString.lowercased().replacing("-", with: ""))"
        return try await withDirectConnection { connection in
            do {
                try await connection.query("create database \(identifier: name) template template0")
            } catch let error as PostgresError where error.sqlState == "42501" {
                throw MigrationError(
                    .noScratchDatabase,
                    "validate needs to create a scratch database: give the user the right (ALTER ROLE … CREATEDB), "
                        + "or run it against a copy where it may")
            }
            let outcome: Result<Catalogue, any Error>
            do {
                outcome = .success(try await describe(files, in: name))
            } catch {
                outcome = .failure(error)
            }
            try await connection.query("drop database if exists \(identifier: name) with (force)")
            return try outcome.get()
        }
    }

    private func describe(_ files: ArraySlice<MigrationFile>, in database: String) async throws -> Catalogue {
        try await withDirectConnection(database: database) { connection in
            try await connection.query(Self.createTable)
            for file in files { try await connection.execute(PostgresQuery(trusted: file.sql), timeout: nil) }
            return try await Self.describe(connection)
        }
    }

    private static func describe(_ connection: PostgresConnection) async throws -> Catalogue {
        var catalogue: Catalogue = [:]
        for query in [relations, columns, constraints, indexes, functions, triggers, types] {
            for row in try await connection.query(query) {
                let (object, definition) = try row.decode(String.self, String.self)
                catalogue[object] = definition
            }
        }
        return catalogue
    }

    // MARK: The catalogue

    // Each of these gives the object's name and its definition. Left out: PostgreSQL's own schemas, what belongs to an
    // extension, and partitions with what hangs on them.

    private static let relations: PostgresQuery = """
        select case c.relkind when 'v' then 'view ' when 'm' then 'materialized view ' when 'S' then 'sequence '
                              else 'table ' end || n.nspname || '.' || c.relname,
               c.relkind::text || ' ' || c.relpersistence::text
               || ' ' || coalesce(array_to_string(c.reloptions, ', '), '')
               || case when c.relkind in ('v', 'm') then pg_get_viewdef(c.oid)
                       when c.relkind = 'p' then ' partition by ' || pg_get_partkeydef(c.oid) else '' end
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
          and not c.relispartition
          and not exists (select from pg_depend d
                          where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
        """

    private static let columns: PostgresQuery = """
        select 'column ' || n.nspname || '.' || c.relname || '.' || a.attname,
               format_type(a.atttypid, a.atttypmod) || case when a.attnotnull then ' not null' else '' end
               || case when a.attidentity <> '' then ' identity ' || a.attidentity::text else '' end
               || case when a.attgenerated <> '' then ' generated' else '' end
               || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
        from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
        left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and c.relkind in ('r', 'p', 'f')
          and not c.relispartition and a.attnum > 0 and not a.attisdropped
          and not exists (select from pg_depend e
                          where e.classid = 'pg_class'::regclass and e.objid = c.oid and e.deptype = 'e')
        """

    private static let constraints: PostgresQuery = """
        select 'constraint ' || n.nspname || '.' || c.relname || '.' || k.conname, pg_get_constraintdef(k.oid)
        from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
        where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and not c.relispartition
          and not exists (select from pg_depend e
                          where e.classid = 'pg_class'::regclass and e.objid = c.oid and e.deptype = 'e')
        """

    private static let indexes: PostgresQuery = """
        select 'index ' || n.nspname || '.' || i.relname,
               pg_get_indexdef(i.oid) || case when x.indisvalid then '' else ' invalid' end
        from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class c on c.oid = x.indrelid
        join pg_namespace n on n.oid = i.relnamespace
        where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and not c.relispartition
          and not exists (select from pg_depend e
                          where e.classid = 'pg_class'::regclass and e.objid = c.oid and e.deptype = 'e')
        """

    private static let functions: PostgresQuery = """
        select 'function ' || n.nspname || '.' || p.proname
               || '(' || pg_get_function_identity_arguments(p.oid) || ')',
               case when p.prokind = 'a' then 'aggregate' else pg_get_functiondef(p.oid) end
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
          and not exists (select from pg_depend e
                          where e.classid = 'pg_proc'::regclass and e.objid = p.oid and e.deptype = 'e')
        """

    private static let triggers: PostgresQuery = """
        select 'trigger ' || n.nspname || '.' || c.relname || '.' || t.tgname,
               pg_get_triggerdef(t.oid) || ' ' || t.tgenabled::text
        from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
        where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and not t.tgisinternal
          and not c.relispartition
        """

    private static let types: PostgresQuery = """
        select 'type ' || n.nspname || '.' || t.typname,
               t.typtype::text || coalesce(' ' || (select string_agg(e.enumlabel, ', ' order by e.enumsortorder)
                                             from pg_enum e where e.enumtypid = t.oid), '')
               || coalesce(' ' || format_type(nullif(t.typbasetype, 0), t.typtypmod), '')
        from pg_type t join pg_namespace n on n.oid = t.typnamespace
        where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and t.typtype in ('e', 'd', 'r')
          and not exists (select from pg_depend x
                          where x.classid = 'pg_type'::regclass and x.objid = t.oid and x.deptype = 'e')
        """
}
